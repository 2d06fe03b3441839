//! A real control plane and the operator, for tests.
