//! The wire library's request handler: load the snapshot, make the reply, hand it to the socket.
//!
//! What must stay true: the only await is the hand-over of a finished reply, which the wire library
//! does without waiting (a full queue drops the reply, and the client asks again). So a task per
//! query lives for microseconds, and the snapshot is never held across an await.

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts};
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};

use crate::Table;
use crate::reply::Reply;

/// Answers every request from the table.
pub(crate) struct Handler {
    pub table: Table,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        let reply = Reply::to(request, &self.table.peek());
        tracing::debug!(
            source = %request.src(),
            transport = %request.protocol(),
            question = request.queries.queries().first().map(tracing::field::display),
            code = %reply.metadata.response_code,
            truncated = reply.metadata.truncation,
            "answered"
        );
        match out.send_response(reply.send_form(request)).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(source = %request.src(), %error, "reply dropped");
                ResponseInfo::from(Header {
                    metadata: reply.metadata,
                    counts: HeaderCounts::default(),
                })
            }
        }
    }
}
