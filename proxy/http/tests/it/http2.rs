//! HTTP/2 in clear text, and gRPC.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Response, Version};
use tokio::net::{TcpListener, TcpStream};

use crate::client::connect;
use crate::node::{LANE, Node, SHOP, WorldText, eventually, one_region};
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

/// An upstream that says these bytes, and a client of it.
async fn saying(bytes: &'static str) -> (Node, Upstream, SendRequest<Bytes>) {
    let upstream = Upstream::start("u0").await;
    upstream.behave(Manner::Say(bytes));
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let client = client(node.address).await;
    (node, upstream, client)
}

#[tokio::test]
async fn chunks_become_frames_and_trailers_stay() {
    let (_node, _upstream, client) = saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n\
         5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 42\r\nX-Sum: 43\r\n\r\n",
    )
    .await;
    for _ in 0..2 {
        let uri = format!("http://{SHOP}/");
        let (response, body, trailers) = send(&client, request(Method::GET, &uri), b"").await;
        assert_eq!(response.status(), 200);
        assert_eq!(body, b"hello world");
        for gone in ["transfer-encoding", "connection"] {
            assert!(!response.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(response.headers()["x-end"], "2");
        // pingora passes what `Connection` names, and no trailers.
        if LANE == "own" {
            assert!(!response.headers().contains_key("x-hop"));
            let trailers = trailers.expect("trailers");
            let sums: Vec<_> = trailers.get_all("x-sum").iter().collect();
            assert_eq!(sums, ["42", "43"]);
        }
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    for (bytes, method, status) in [
        (
            "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
            Method::GET,
            204,
        ),
        (
            "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n",
            Method::GET,
            304,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            Method::HEAD,
            200,
        ),
    ] {
        let (_node, _upstream, client) = saying(bytes).await;
        let uri = format!("http://{SHOP}/");
        let (response, body, _) = send(&client, request(method, &uri), b"").await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(body, b"", "{status}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let upstream = Upstream::start("u0").await;
    upstream.behave(Manner::SayAndClose("HTTP/1.1 200 OK\r\n\r\nhello"));
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let client = client(node.address).await;
    let uri = format!("http://{SHOP}/");
    let (response, body, _) = send(&client, request(Method::GET, &uri), b"").await;
    assert_eq!(
        (response.status().as_u16(), &body[..]),
        (200, &b"hello"[..])
    );
}

/// An answer that is cut is a reset, not an end.
#[tokio::test]
async fn an_answer_that_is_cut_is_not_taken_for_whole() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ] {
        let upstream = Upstream::start("u0").await;
        upstream.behave(Manner::SayAndClose(bytes));
        let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
        let mut client = client(node.address).await.ready().await.unwrap();
        let call = request(Method::GET, &format!("http://{SHOP}/"));
        let (response, _) = client.send_request(call, true).unwrap();
        // A reset overtakes what is not sent yet, the head included.
        let Ok(response) = response.await else {
            continue;
        };
        let mut body = response.into_body();
        let mut failed = false;
        while let Some(piece) = body.data().await {
            failed |= piece.is_err();
            if failed {
                break;
            }
        }
        assert!(failed, "{bytes}");
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_the_pace_of_the_slower_side() {
    let upstream = Upstream::start("u0").await;
    upstream.behave(Manner::EchoBody);
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = client(node.address).await.ready().await.unwrap();
    let payload: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut call = request(Method::POST, &format!("http://{SHOP}/"));
    let length = payload.len().to_string();
    call.headers_mut()
        .insert("content-length", length.parse().unwrap());
    let (response, mut up) = client.send_request(call, false).unwrap();
    let sending = payload.clone();
    let sender = tokio::spawn(async move {
        let mut rest = Bytes::from(sending);
        while !rest.is_empty() {
            up.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|context| up.poll_capacity(context))
                .await
                .unwrap()
                .unwrap();
            let piece = rest.split_to(room.min(rest.len()));
            let is_last = rest.is_empty();
            up.send_data(piece, is_last).unwrap();
        }
    });
    let mut body = response.await.unwrap().into_body();
    let mut back = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        // A slow reader: windows fill on the way.
        if back.len() % 7 == 0 {
            tokio::task::yield_now().await;
        }
        body.flow_control().release_capacity(piece.len()).unwrap();
        back.extend_from_slice(&piece);
    }
    sender.await.unwrap();
    assert!(back == payload, "{} bytes came back", back.len());
}

#[tokio::test]
async fn fields_become_those_of_http1() {
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let client = client(node.address).await;
    let mut call = request(Method::POST, &format!("http://{SHOP}/a?b"));
    let fields = call.headers_mut();
    fields.append("cookie", "a=1".parse().unwrap());
    fields.append("cookie", "b=2".parse().unwrap());
    fields.append("te", "trailers".parse().unwrap());
    let (response, ..) = send(&client, call, b"").await;
    assert_eq!(response.status(), 200);
    let (response, ..) = send(
        &client,
        request(Method::POST, &format!("http://{SHOP}/c")),
        b"hello",
    )
    .await;
    assert_eq!(response.status(), 200);
    let heads = upstream.heads();
    let first = heads[0].to_ascii_lowercase();
    assert!(first.starts_with("post /a?b http/1.1\r\n"), "{first}");
    // RFC 9113, section 8.2.3; pingora leaves the pieces.
    let joined = usize::from(LANE == "own");
    for (line, times) in [
        ("cookie: a=1; b=2\r\n", joined),
        ("\r\nhost: shop.example\r\n", 1),
        ("x-forwarded-host: shop.example\r\n", 1),
        ("x-forwarded-proto: http\r\n", 1),
        ("via: 2 meridian\r\n", 1),
        ("transfer-encoding", 0),
        ("te:", 0),
    ] {
        assert_eq!(first.matches(line).count(), times, "{line} in {first}");
    }
    let second = heads[1].to_ascii_lowercase();
    assert!(
        second.contains("transfer-encoding: chunked\r\n"),
        "{second}"
    );
    assert_eq!(upstream.bodies()[1], b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_request_whose_client_left_is_given_up() {
    let upstream = Upstream::start("u0").await;
    upstream.behave(Manner::Hang);
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = client(node.address).await.ready().await.unwrap();
    let call = request(Method::GET, &format!("http://{SHOP}/"));
    let (response, mut stream) = client.send_request(call, true).unwrap();
    eventually("it arrives", || upstream.requests() == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    let line = "meridian_http_requests_total{service=\"shop\",status=\"none\"}";
    node.metric_becomes(line, 1.0).await;
    upstream.behave(Manner::Serve);
    let again = request(Method::GET, &format!("http://{SHOP}/"));
    let (response, ..) = send(&client, again, b"").await;
    assert_eq!(response.status(), 200);
}

/// Calls share connections, and a server that went away is connected to anew.
#[tokio::test]
async fn grpc_connections_are_shared() {
    let greeter = greeter().await;
    let world = WorldText::new()
        .region("a", "DE", "", &[(greeter, "shop")])
        .service("shop", "", &format!("[{{ hosts: [{SHOP}] }}]"));
    let node = Node::start(&world, "worker_threads: 1");
    let client = client(node.address).await;
    let calls = (0..50).map(|_| {
        let mut call = request(Method::POST, &format!("http://{SHOP}/greet.Greeter/Hello"));
        call.headers_mut()
            .insert("content-type", "application/grpc".parse().unwrap());
        send(&client, call, b"\0\0\0\0\x02hi")
    });
    for (response, body, trailers) in futures_util::future::join_all(calls).await {
        assert_eq!(response.status(), 200);
        assert_eq!(body, b"\0\0\0\0\x02hi");
        assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
    }
}

/// Who answers before the request is over has its answer heard.
#[tokio::test]
async fn an_early_answer_arrives() {
    let upstream = Upstream::start("u0").await;
    upstream.behave(Manner::SayEarly(
        "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nearly",
    ));
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), "");
    let mut client = client(node.address).await.ready().await.unwrap();
    let call = request(Method::POST, &format!("http://{SHOP}/"));
    let (response, mut up) = client.send_request(call, false).unwrap();
    up.send_data(Bytes::from_static(b"the beginning"), false)
        .unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 403);
    let mut body = response.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), &b"early"[..]);
    assert!(body.data().await.is_none_or(|end| end.is_err()));
}
