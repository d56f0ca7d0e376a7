//! The tokens of RFC 7515 appendix A. They have no audience, so only form and signature are asked about here.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use outrigger_config::model::SecretText;
use serde_json::json;

use super::forge::key_set;
use crate::jwt::{KeySet, Token};
use crate::reason::Reason;

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// The same claims but for one letter: `jof`.
const OTHER_PAYLOAD: &str = "eyJpc3MiOiJqb2YiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn assert_signed(keys: &KeySet, header: &str, signature: &str) {
    let verify = |payload: &str| {
        let text = format!("{header}.{payload}.{signature}");
        keys.verify(&Token::parse(&text).unwrap()).map(|_| ())
    };
    assert_eq!(verify(PAYLOAD), Ok(()));
    assert_eq!(verify(OTHER_PAYLOAD), Err(Reason::AuthSignature));
}

#[test]
fn rfc_7515_a_1_hs256() {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = SecretText::new(URL_SAFE_NO_PAD.decode(secret).unwrap());
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let keys = KeySet::secret(secret).unwrap();
    assert_signed(&keys, header, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn rfc_7515_a_2_rs256() {
    let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql\
        L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB\
        dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8\
        q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5juj\
        Gbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB\
        _eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL\
        IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let keys = key_set(&[json!({ "kty": "RSA", "n": modulus, "e": "AQAB" })]);
    assert_signed(&keys, "eyJhbGciOiJSUzI1NiJ9", signature);
}

#[test]
fn rfc_7515_a_3_es256() {
    let keys = key_set(&[json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })]);
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_signed(&keys, "eyJhbGciOiJFUzI1NiJ9", signature);
}

/// docs/security.md 12.
#[test]
fn rfc_7515_a_5_unsecured() {
    let text = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(
        Token::parse(&text).unwrap_err(),
        Reason::AuthAlgorithmNotAllowed
    );
}
