"""The web app and the REST service: one process, one door (`app.create_app`)."""
