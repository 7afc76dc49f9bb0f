//! Test world: all parties in one process, conformance suite, transcript statistics
