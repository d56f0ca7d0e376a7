//! The id of one request: in logs, towards the app, and in the answers of the proxy.

use http::HeaderValue;

/// The id of one request.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// Made here.
    New([u8; 36]),
    /// Sent by a trusted peer; visible ASCII.
    Kept(HeaderValue),
}

impl RequestId {
    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::New(id) => id,
            Self::Kept(id) => id.as_bytes(),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// As a header value.
    pub fn to_value(&self) -> HeaderValue {
        match self {
            Self::New(id) => HeaderValue::from_bytes(id).expect("hex digits and dashes"),
            Self::Kept(id) => id.clone(),
        }
    }
}
