use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Result};

/// A new P-256 key in PEM, with which the API server signs and checks the tokens
/// of ServiceAccounts. The form of RFC 5915, because that is the one private form
/// that the API server reads also where it wants the public half.
pub(crate) fn service_account_key() -> Result<String> {
    let failed = |_| Error::Malformed("no P-256 key could be made".to_owned());
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().map_err(failed)?;
    Ok(pem("EC PRIVATE KEY", der.as_ref()))
}

/// RFC 7468, section 3.
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
