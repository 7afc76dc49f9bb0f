//! Shapes of Boolean circuits: carry trees for sign extraction
