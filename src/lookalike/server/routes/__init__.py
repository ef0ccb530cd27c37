"""What the service answers, a file a subject: each has a `router`."""
