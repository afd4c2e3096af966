"""Published contracts: suites that every implementation passes, canonical spaces, and fakes."""
