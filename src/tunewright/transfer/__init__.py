"""Transfer: what earlier experiments tell about this one."""
