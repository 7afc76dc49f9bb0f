//! The benchmark works W1 to W8
