"""Arrays in, arrays out: what carries the load. No module here knows of documents."""
