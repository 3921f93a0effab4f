"""Where studies are kept if nobody says where."""

# Apart from the store itself, since it is asked for before SQLAlchemy is to load.
DEFAULT_STORE = "lrscout.db"
"""The file that studies are kept in where nothing else is said."""
