//! Step 15 and the response path: redirects, fixed responses, and the headers that the proxy
//! changes in any response.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use outrigger_config::model::{DirectResponse, Redirect, Route};
use outrigger_filters::{
    context::Exchange,
    cors::Grant,
    error::Error,
    headers, host,
    redirect::{self, Origin},
    service::{self, Body, Request},
};

/// The response of `requestRedirect`.
///
/// # Errors
/// Request and redirect together form no valid Location.
pub fn redirect(redirect: &Redirect, request: &Request) -> Result<Response<Body>, Error> {
    let head = &request.head;
    let authority = head
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = Origin {
        scheme: request.context.scheme.get().as_str(),
        host: authority.map(host::host_of),
        port: authority.and_then(host::port_of),
        path: head.uri.path(),
        query: head.uri.query(),
        prefix_len: request.context.prefix_len.get(),
    };
    let location = redirect::location(redirect, &origin).map_err(Error::Malformed)?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = redirect.status;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// `directResponse` of a route.
#[derive(Debug, Clone)]
pub struct Direct {
    status: StatusCode,
    body: Bytes,
}

impl Direct {
    /// The accepted response.
    pub fn new(accepted: &DirectResponse) -> Self {
        Self {
            status: accepted.status,
            body: Bytes::copy_from_slice(accepted.body.as_bytes()),
        }
    }

    /// Creates the response.
    pub fn response(&self) -> Response<Body> {
        service::text(self.status, self.body.clone())
    }
}

/// 23 and 8: the headers that the proxy adds to a response: cookies of `extAuth`, `responseHeaders`
/// of the route, and CORS.
#[inline]
pub fn finish(
    exchange: &Exchange,
    route: Option<&Route>,
    grant: Option<Box<Grant>>,
    fields: &mut HeaderMap,
) {
    for cookie in exchange.take_cookies() {
        fields.append(header::SET_COOKIE, cookie);
    }
    if let Some(route) = route {
        headers::apply(&route.response_headers, fields);
    }
    if let Some(grant) = grant {
        grant.write(fields);
    }
}
