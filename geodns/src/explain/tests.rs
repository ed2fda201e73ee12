#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use hickory_proto::rr::RecordType;

use super::{ClientQuestion, QueryExplainError, QueryExplanation, query_explain};
use crate::fixture::world;
use crate::responder::tests::{rules, zones_of};
use crate::responder::{AnswerRules, EcsTrust};

fn play(name: &str, client: &str, ecs: EcsTrust) -> Result<QueryExplanation, QueryExplainError> {
    let question = ClientQuestion {
        name,
        rtype: RecordType::A,
        client: client.parse().unwrap(),
    };
    query_explain(
        &zones_of(world()),
        &AnswerRules { ecs, ..rules() },
        question,
    )
}

#[test]
fn says_what_a_client_gets_and_why() {
    let explanation = play("shop.example.test", "10.2.3.4", EcsTrust::Everybody).unwrap();
    assert_eq!(
        (explanation.rcode, explanation.authoritative),
        ("NOERROR", true)
    );
    assert_eq!(explanation.answers[0].data, "198.51.100.1");
    // A French /24 in a German /16: both go to eu-west.
    assert_eq!(explanation.scope, Some(16));
    let steering = explanation.steering.unwrap();
    assert_eq!(steering.service.as_str(), "shop");
    assert_eq!(steering.choice.unwrap().endpoint.as_str(), "eu-1");
    assert!(
        steering
            .stages
            .iter()
            .any(|stage| stage.name == "score" && !stage.scores.is_empty())
    );
}

#[test]
fn goes_by_the_source_where_subnets_are_not_believed() {
    let explanation = play("shop.example.test", "10.3.0.1", EcsTrust::Nobody).unwrap();
    assert_eq!(explanation.answers[0].data, "203.0.113.1");
    assert_eq!(explanation.scope, None);
}

#[test]
fn static_and_missing_names_have_no_steering() {
    let explanation = play("www.example.test.", "10.2.3.4", EcsTrust::Everybody).unwrap();
    assert_eq!((explanation.answers.len(), explanation.scope), (2, Some(0)));
    assert!(explanation.steering.is_none());
    let explanation = play("nowhere.example.test", "10.2.3.4", EcsTrust::Everybody).unwrap();
    assert_eq!(
        (explanation.rcode, explanation.authorities.len()),
        ("NXDOMAIN", 1)
    );
    assert!(matches!(
        play("a..b", "10.2.3.4", EcsTrust::Everybody),
        Err(QueryExplainError::Name { .. })
    ));
}
