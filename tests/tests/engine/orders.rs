//! What an operator sets for backends while connections go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Result;
use baton_tests::lab::{Backend, Balanced, Connection, Host, VIP, output, wait_until};

use super::support::{SOON, end};

const WEB: &str = Balanced::WEB;

/// Who answers so many new connections, and how many of them.
fn answers(setup: &Balanced, count: u32) -> Result<BTreeMap<String, u32>> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        *answers.entry(setup.lab.fetch(VIP)?).or_default() += 1;
    }
    Ok(answers)
}

/// The condition of each backend of node a, and its weight.
fn backends(setup: &Balanced) -> Result<Vec<(String, u16)>> {
    let backends = setup.engine(Host::A)?.pools.swap_remove(0).backends;
    Ok(backends.into_iter().map(|backend| (backend.condition, backend.weight)).collect())
}

#[test]
fn a_drained_backend_keeps_its_connections_and_gets_no_others_through_restart_and_reload() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let mut connections = (0..40).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    let before = connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?;
    let drained = setup.backends[1].says();
    assert!(before.contains(&drained), "{before:?}");
    let drain = format!("drain web {}", Backend::address_of(2));
    assert!(setup.ask(Host::A, &drain)?.contains("weight 1, drained"));
    let only_others_answer =
        |answers: BTreeMap<String, u32>| answers.len() == 2 && !answers.contains_key(&drained);
    assert!(only_others_answer(answers(&setup, 40)?));
    assert_eq!(
        backends(&setup)?.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["up", "draining", "up"]
    );
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);

    output(&mut setup.lab.baton(Host::A, "restart")?)?;
    setup.wait_for_backends(Host::A)?;
    assert!(only_others_answer(answers(&setup, 40)?), "a restart does not bring it back");
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);
    setup.configure(Host::A, &format!("check = \"http:80/\"\n{WEB}"))?;
    output(&mut setup.lab.baton(Host::A, "reload")?)?;
    setup.wait_for_backends(Host::A)?;
    assert!(only_others_answer(answers(&setup, 40)?), "nor does a reload");
    assert_eq!(connections.iter_mut().map(Connection::ask).collect::<Result<Vec<_>>>()?, before);

    setup.ask(Host::A, &drain.replace("drain", "undrain"))?;
    assert_eq!(answers(&setup, 60)?.len(), 3);
    end(setup)
}

#[test]
fn a_weight_counts_for_new_connections_until_the_configured_one_is_wanted_again() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let digest = || Ok::<_, anyhow::Error>(setup.engine(Host::A)?.pools[0].digest.clone());
    let whole = digest()?;
    let weight =
        |weight: &str| setup.ask(Host::A, &format!("weight web {} {weight}", Backend::address_of(1)));
    weight("1000")?;
    let heavy = setup.backends[0].says();
    assert!(answers(&setup, 40)?[&heavy] > 30);
    let text = setup.ask(Host::A, "backends")?;
    assert!(text.contains("weight 1000 ") && text.contains("weight 1 in the configuration"), "{text}");
    weight("0")?;
    assert!(!answers(&setup, 40)?.contains_key(&heavy));
    weight("configured")?;
    assert_eq!(digest()?, whole);
    assert_eq!(backends(&setup)?, vec![("up".to_owned(), 1); 3]);
    end(setup)
}

#[test]
fn a_wrong_name_is_answered_by_what_there_is_and_a_broken_record_is_ignored() -> Result<()> {
    let setup = Balanced::with(WEB)?;
    let refusal = |arguments: &str| setup.ask(Host::A, arguments).expect_err(arguments).to_string();
    assert!(refusal("drain mail 10.77.0.11").contains("there is no pool mail; there is web"));
    let said = refusal("drain web 10.77.0.99");
    assert!(said.contains("no backend 10.77.0.99; it has 10.77.0.11, 10.77.0.12, 10.77.0.13"), "{said}");
    assert!(refusal("weight web 10.77.0.11 1001").contains("write 0 to 1000"));
    assert!(refusal("weight web 10.77.0.11 heavy").contains("write 0 to 1000, or configured"));

    setup.ask(Host::A, "drain web 10.77.0.11")?;
    fs::write(setup.lab.host_directory(Host::A).join("backends.json"), "{")?;
    output(&mut setup.lab.baton(Host::A, "restart")?)?;
    setup.wait_for_backends(Host::A)?;
    let said: BTreeSet<String> = answers(&setup, 60)?.into_keys().collect();
    assert_eq!(said.len(), 3, "the configuration counts");
    end(setup)
}

/// Weights decide, too, whether failing backends are made do with, and the data plane hears of it.
#[test]
fn flows_of_failing_backends_end_when_the_one_that_is_in_order_is_no_longer_drained() -> Result<()> {
    let mut setup = Balanced::prepare()?;
    let directory = setup.lab.directory().to_owned();
    let check = format!("! test -e {}/fails-$0", directory.display());
    let pool = format!(
        "exec = [\"/bin/sh\", \"-c\", \"{check}\"]\ninterval_ms = 100\nall_failed = \"use-all\"\n{WEB}"
    );
    for number in [1, 3] {
        fs::write(directory.join(format!("fails-{}", Backend::address_of(number))), "")?;
    }
    setup.configure(Host::A, &pool)?;
    setup.launch(Host::A)?;
    let says = |number: usize| setup.backends[number - 1].says();
    wait_until("the one that is in order to be asked alone", SOON, || {
        Ok(answers(&setup, 20).is_ok_and(|answers| answers.into_keys().eq([says(2)])))
    })?;
    setup.ask(Host::A, &format!("drain web {}", Backend::address_of(2)))?;
    assert_eq!(answers(&setup, 40)?.into_keys().collect::<Vec<_>>(), [says(1), says(3)]);
    let mut connections = (0..10).map(|_| Connection::open(&setup.lab)).collect::<Result<Vec<_>>>()?;
    for connection in &mut connections {
        for _ in 0..4 {
            connection.ask()?;
        }
    }
    setup.ask(Host::A, &format!("undrain web {}", Backend::address_of(2)))?;
    for connection in &mut connections {
        wait_until("the connection to be reset by another backend", SOON, || Ok(connection.ask().is_err()))?;
    }
    assert_eq!(answers(&setup, 20)?.into_keys().collect::<Vec<_>>(), [says(2)]);
    end(setup)
}
