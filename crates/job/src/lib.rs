//! Job files, plans and runs: the one place where a protocol name becomes a type
