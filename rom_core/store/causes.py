"""What is behind an error of SQLAlchemy."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError


def cause_of(error: BaseException) -> BaseException:
    """The driver's own error in one of SQLAlchemy's, else the error itself."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
