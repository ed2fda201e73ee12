use std::sync::Arc;

use super::*;

const ONE: &str = "000102030405060708090a0b0c0d0e0f";
const TWO: &str = "ffffffffffffffffffffffffffffffff";

fn parse(text: &str) -> Result<Secrets, SecretError> {
    Secrets::parse(Path::new("secrets"), text)
}

#[test]
fn a_file_says_who_signs_and_who_verifies() {
    let secrets = parse(&format!("# set A\n{ONE} # now\n\n{TWO}\n")).unwrap();
    assert_eq!(secrets.signing().bytes()[15], 0x0f);
    assert_eq!(secrets.iter().count(), 2);
    assert_eq!(format!("{secrets:?}"), "Secrets(2)");
}

#[test]
fn a_bad_file_is_refused_without_its_contents() {
    let check = |text: &str, expected: &str| {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("abcdef"), "{error}");
    };
    check("", "0 secrets");
    check("abcdef", "line 1");
    check(&format!("{ONE}\nabcdefabcdef"), "line 2");
    check(&[ONE; 5].join("\n"), "5 secrets");
    let missing = Secrets::read(Path::new("/nonexistent/secrets")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/secrets"));
}

#[tokio::test(start_paused = true)]
async fn a_random_secret_turns_over_and_the_last_one_stays() {
    let keeper = Keeper::Random(Duration::from_secs(3600));
    let secrets = Arc::new(ArcSwap::from_pointee(keeper.first().unwrap()));
    let first = *secrets.load().signing();
    let stop = CancellationToken::new();
    let (kept, stopped) = (Arc::clone(&secrets), stop.clone());
    let task = tokio::spawn(async move { keeper.keep(&kept, stopped).await });
    tokio::time::sleep(Duration::from_secs(3601)).await;
    let turned = secrets.load_full();
    assert!(*turned.signing() != first && turned.iter().any(|secret| *secret == first));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!secrets.load().iter().any(|secret| *secret == first));
    assert_eq!(secrets.load().iter().count(), 2);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secrets");
    fs::write(&file, ONE).unwrap();
    let keeper = Keeper::File(file.clone());
    let secrets = Arc::new(ArcSwap::from_pointee(keeper.first().unwrap()));
    let stop = CancellationToken::new();
    let (kept, stopped) = (Arc::clone(&secrets), stop.clone());
    let task = tokio::spawn(async move { keeper.keep(&kept, stopped).await });
    fs::write(&file, "no secret").unwrap();
    tokio::time::sleep(FILE_POLL * 2).await;
    assert_eq!(secrets.load().signing().bytes()[15], 0x0f);
    fs::write(&file, format!("{TWO}\n{ONE}")).unwrap();
    tokio::time::sleep(FILE_POLL * 2).await;
    assert_eq!(secrets.load().signing().bytes()[15], 0xff);
    assert_eq!(secrets.load().iter().count(), 2);
    stop.cancel();
    task.await.unwrap();
}
