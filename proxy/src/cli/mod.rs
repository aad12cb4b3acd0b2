//! The command line: what each subcommand prints.
//!
//! A subcommand here is a pure function from its inputs to an `Outcome`: the text to print and the exit code. The
//! binary reads the arguments, prints and exits. Nothing here opens a socket or writes to a terminal.
