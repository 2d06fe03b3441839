//! SES, Route 53, STS and DNS as AWS documents them.
