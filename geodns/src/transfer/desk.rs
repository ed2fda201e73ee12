//! Who answers what the packet path hands on.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::SlowMessage;
use crate::responder::Responder;
use crate::wire::{HEADER_BYTES, Rcode};

/// Answers slow messages.
#[derive(Debug)]
pub(crate) struct Desk {
    responder: Arc<Responder>,
}

impl Desk {
    pub(crate) fn new(responder: Arc<Responder>) -> Self {
        Self { responder }
    }

    /// Answers one message into `answers`, as many messages as it takes.
    pub(crate) async fn serve(&self, message: SlowMessage, answers: &mpsc::Sender<Vec<u8>>) {
        let Some(head) = message.packet.first_chunk::<HEADER_BYTES>() else {
            return;
        };
        let mut answer = head.to_vec();
        answer[2] |= 0x80;
        let rcode = if answer[2] & 0x78 == 0 {
            Rcode::Refused
        } else {
            Rcode::NotImp
        };
        answer[3] = rcode.low_bits();
        answer[4..].fill(0);
        self.responder.metrics().count_response(rcode, false);
        // Whoever asked may have left.
        let _ = answers.send(answer).await;
    }

    /// A datagram found no place in the queue.
    pub(crate) fn count_overflow(&self) {
        self.responder.metrics().count_dropped();
    }

    /// The system would not send an answer.
    pub(crate) fn count_send_error(&self) {
        self.responder.metrics().send_errors.inc();
    }
}
