//! JSON Schema of `baton.toml`, for editors: made from the tables and keys that it is read by.

use serde_json::{Map, Value as Json, json};

use super::file;
use super::key::Table;

/// The schema. Whoever keeps it can write a file without mistakes in single keys; what several of them mean together, only
/// [`Config::load`](super::Config::load) knows.
pub fn schema() -> Json {
    let mut schema = of_table(&file::TABLE);
    // Another file may have what this one lacks.
    schema["required"] = json!([]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "baton.toml".into();
    schema["$defs"] = json!({
        "substituted": {
            "description": "A string with variables of the environment: ${NAME} or ${NAME:-default}.",
            "type": "string",
            "pattern": r"\$\{",
        },
    });
    schema
}

/// The schema of a table.
pub(super) fn of_table(table: &Table) -> Json {
    let properties: Map<String, Json> =
        table.keys.iter().map(|key| (key.name().to_owned(), key.schema())).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.is_required()).map(|key| key.name()).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

/// The schema of a value that may also come from the environment.
pub(super) fn or_substituted(schema: &Json) -> Json {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/substituted" }] })
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;
    use crate::config::tests::MINIMAL;

    const README: &str = include_str!("../../../README.md");
    /// What an example says instead of the keys of the first one.
    const AS_ABOVE: &str = "# ... as above, and\n";

    fn errors(validator: &Validator, text: &str) -> Vec<String> {
        let instance: Json = toml::from_str(text).expect(text);
        validator.iter_errors(&instance).map(|error| error.to_string()).collect()
    }

    fn validator() -> Validator {
        jsonschema::draft202012::new(&schema()).expect("a schema")
    }

    #[test]
    fn the_schema_that_is_checked_in_is_that_of_the_program() {
        let made = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
        let hint = "`cargo run -p baton -- schema >agent/baton.schema.json` brings it up to date";
        assert!(made == include_str!("../../baton.schema.json"), "{hint}");
    }

    #[test]
    fn the_examples_of_the_readme_keep_the_schema_and_are_valid() {
        let blocks: Vec<&str> =
            README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let (_, keys) = blocks[0].split_once("[[router]]\n").expect("a router");
        for block in &blocks {
            let text = block.replace(AS_ABOVE, keys);
            assert_eq!(errors(&validator(), &text), Vec::<String>::new(), "{text}");
            crate::config::tests::parse(&text).expect(&text);
        }
        assert!(blocks.len() >= 2, "examples were lost");
    }

    #[test]
    fn the_schema_takes_what_the_parser_takes_in_a_key_and_refuses_what_that_refuses() {
        for (line, is_right) in [
            ("priority = 2", true),
            ("priority = 1", false),
            ("priority = \"200\"", false),
            ("priority = \"${PRIORITY}\"", true),
            ("version = 2", true),
            ("version = \"2+3\"", true),
            ("version = \"3+2\"", false),
            ("version = \"${VERSION:-2+3}\"", true),
            ("interval_ms = 40950", true),
            ("interval_ms = 15", false),
            ("preempt = \"${NO}\"", true),
            ("preempt = \"no\"", false),
            ("mac = \"interface\"", true),
            ("mac = \"Interface\"", false),
            ("prio = 1", false),
            ("track = [\"a b\"]", false),
            ("[runtime]\npins = \"/a\"", true),
            ("[runtime]\npins = \"a\"", false),
            ("[runtime]\nrealtime_priority = 100", false),
            ("[[hook]]\nexec = [\"/a\", \"b\"]", true),
            ("[[hook]]\nexec = [\"a\", \"/b\"]", false),
            ("[[hook]]\nexec = []", false),
            ("[[hook]]\nuser = \"a\"", false),
            ("[[hook]]\nexec = [\"/a\"]\non = [\"master\"]", false),
            ("[[track]]\nname = \"a\"\ntcp = \"[::1]:80\"", true),
            ("[[track]]\nname = \"a\"\ntcp = \"localhost\"", false),
            ("[[track]]\nname = \"a\"\nhttp = \"ftp://127.0.0.1\"", false),
            ("[[track]]\nfile = \"/a\"", false),
        ] {
            let text = format!("{MINIMAL}{line}\n");
            let errors = errors(&validator(), &text);
            assert_eq!(errors.is_empty(), is_right, "{line}: {errors:?}");
            assert_eq!(crate::config::tests::parse(&text).is_ok(), is_right, "{line}");
        }
        assert_ne!(errors(&validator(), &MINIMAL.replace("vrid = 51\n", "")), Vec::<String>::new());
    }
}
