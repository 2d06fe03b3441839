//! The operator as a library.
