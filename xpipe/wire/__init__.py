"""Documents from outside and back: XML and JSON <-> payload, XSD, streams of documents."""
