//! HTTP/2 in clear text, and gRPC.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Response, Version};
use tokio::net::{TcpListener, TcpStream};

use crate::client::connect;
use crate::node::{Node, SHOP, WorldText, one_region};
use crate::upstream::{Manner, Upstream};

/// A client that begins with the preface, as gRPC without TLS does.
pub async fn client(to: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(to).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One request with a body; the answer's head, body and trailers.
pub async fn send(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::from_static(body), true).unwrap();
    }
    let (head, mut incoming) = response.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk.unwrap();
        incoming
            .flow_control()
            .release_capacity(chunk.len())
            .unwrap();
        bytes.extend_from_slice(&chunk);
    }
    let trailers = incoming.trailers().await.unwrap();
    (Response::from_parts(head, ()), bytes, trailers)
}

fn request(method: Method, uri: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(uri)
        .version(Version::HTTP_2)
        .body(())
        .unwrap()
}

#[tokio::test]
async fn prior_knowledge_is_understood_on_the_plain_listener() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let client = client(node.address).await;
    for number in 0..10 {
        let uri = format!("http://{SHOP}/{number}");
        let (response, body, _) = send(&client, request(Method::GET, &uri), b"").await;
        assert_eq!(
            (response.status().as_u16(), body.as_slice()),
            (200, &b"u0"[..])
        );
    }
    let (response, ..) = send(
        &client,
        request(Method::POST, &format!("http://{SHOP}/")),
        b"hello",
    )
    .await;
    assert_eq!(response.status(), 200);
    let (response, ..) = send(&client, request(Method::GET, "http://other.example/"), b"").await;
    assert_eq!(response.status(), 404);
    let head = upstream.heads()[0].to_ascii_lowercase();
    assert!(head.starts_with("get /0 http/1.1\r\n"), "{head}");
    assert!(head.contains("host: shop.example\r\n"), "{head}");
    assert!(head.contains("via: 2 meridian\r\n"), "{head}");
    assert_eq!(node.metric("meridian_http_connections_accepted_total"), 1.0);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "h2c: off");
    let mut client = connect(node.address).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.answer().await.expect("an answer").status, 400);
}

#[tokio::test]
async fn failures_are_retried_for_http2_clients_too() {
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let node = Node::start(&one_region(&all, "retries: { attempts: 1 }"), "");
    let order = node.order(&all);
    order[0].behave(Manner::CloseSilently);
    let client = client(node.address).await;
    let uri = format!("http://{SHOP}/");
    let (response, ..) = send(&client, request(Method::GET, &uri), b"").await;
    assert_eq!(response.status(), 200);
    let (response, ..) = send(&client, request(Method::POST, &uri), b"hello").await;
    assert_eq!(response.status(), 502);
    assert_eq!((order[0].requests(), order[1].requests()), (2, 1));
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    let greeter = greeter().await;
    let world = WorldText::new()
        .region("a", "DE", "", &[(greeter, "shop")])
        .service(
            "shop",
            "",
            &format!("[{{ hosts: [{SHOP}], path_prefix: /greet.Greeter }}]"),
        );
    let node = Node::start(&world, "");
    let client = client(node.address).await;
    let mut call = request(Method::POST, &format!("http://{SHOP}/greet.Greeter/Hello"));
    call.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    let (response, body, trailers) = send(&client, call, b"\0\0\0\0\x02hi").await;
    assert_eq!(response.status(), 200);
    assert_eq!(body, b"\0\0\0\0\x02hi");
    assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
}

/// An HTTP/2 server that echoes a message and says `grpc-status: 0` after it.
async fn greeter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let mut incoming = request.into_body();
                        let mut message = Vec::new();
                        while let Some(Ok(chunk)) = incoming.data().await {
                            message.extend_from_slice(&chunk);
                        }
                        let head = Response::builder()
                            .header("content-type", "application/grpc")
                            .body(())
                            .unwrap();
                        let mut body = respond.send_response(head, false).unwrap();
                        body.send_data(message.into(), false).unwrap();
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        body.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    address
}
