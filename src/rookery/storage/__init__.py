"""Where state is kept: a database behind one small port, and the threads that write files.

A store is a set of functions of a connection. Its caller submits one or several of them as a unit of work
and awaits the commit; nothing outside a unit of work ever sees an open transaction.
"""

from rookery.storage.columns import Instant, metadata
from rookery.storage.database import Database, Work
from rookery.storage.scope import as_agent

__all__ = ["Database", "Instant", "Work", "as_agent", "metadata"]
