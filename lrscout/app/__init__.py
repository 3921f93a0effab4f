"""The page: its server, what the server answers, and the lesson as a widget. The front end lives in `frontend/`."""
