"""S3 URIs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_URI: Final = re.compile(r"s3://([^/]+)/?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key or prefix in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Read ``s3://bucket/key``.

        Raises
        ------
        ValueError
            The text is not such a URI.
        """
        found = _URI.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not an S3 URI; write s3://bucket/prefix")
        return cls(found[1], found[2])

    def child(self, *parts: str) -> S3Uri:
        """The URI below this one, joined with single slashes.

        Raises
        ------
        ValueError
            A part, such as a file's name, is no text that UTF-8 has, as keys must be.
        """
        for part in parts:
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"the name {part!r} is not UTF-8, as keys are: rename the file") from error
        return S3Uri(self.bucket, "/".join([self.key.rstrip("/"), *parts]).lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
