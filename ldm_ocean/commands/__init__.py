"""The command line, one file a command: arguments in, a call of the library, a printed line out."""
