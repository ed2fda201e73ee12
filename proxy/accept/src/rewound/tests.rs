#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

#[tokio::test]
async fn the_head_comes_first_then_the_stream() {
    let (mut client, server) = duplex(64);
    client.write_all(b" world").await.unwrap();
    client.shutdown().await.unwrap();

    let mut rewound = Rewound::new(Bytes::from_static(b"hello"), server);
    let mut two = [0; 2];
    rewound.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"he");
    let mut rest = String::new();
    rewound.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "llo world");
    assert!(rewound.into_parts().0.is_empty());
}

#[tokio::test]
async fn writing_and_shutting_down_go_through() {
    let (mut client, server) = duplex(64);
    let mut rewound = Rewound::new(Bytes::from_static(b"unread"), server);
    rewound.write_all(b"answer").await.unwrap();
    rewound.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(rewound.into_parts().0, "unread");
}
