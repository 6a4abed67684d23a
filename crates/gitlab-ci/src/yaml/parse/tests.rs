use rstest::rstest;
use serde_json::json;

use super::*;

fn read(text: &str) -> (Vec<serde_json::Value>, Vec<String>) {
    let mut sources = Sources::default();
    let file = sources.add("a.yml", text);
    let mut diagnostics = Diagnostics::default();
    let documents = compose(&sources, file, &mut diagnostics);
    let messages =
        diagnostics.sorted().iter().map(|it| format!("{}: {}", sources.location(it.span), it.message)).collect();
    (documents.iter().map(Node::json).collect(), messages)
}

#[rstest]
#[case::mapping("a: 1\nb: [x, 'y']\n", json!({"a": 1, "b": ["x", "y"]}))]
#[case::quoted_is_string("a: '1'\nb: \"yes\"\n", json!({"a": "1", "b": "yes"}))]
#[case::block("a: |\n  x\n  y\n", json!({"a": "x\ny\n"}))]
#[case::tagged_string("a: !!str 1\n", json!({"a": "1"}))]
#[case::tagged_integer("a: !!int '0x1F'\nb: !!int x\n", json!({"a": 31, "b": "x"}))]
#[case::tagged_float("a: !!float 1\n", json!({"a": 1.0}))]
#[case::tagged_binary("a: !binary aGk=\nb: !!binary 'aG k='\n", json!({"a": "hi", "b": "hi"}))]
#[case::tagged_symbol("a: !ruby/symbol b\n", json!({"a": "b"}))]
#[case::unknown_tag("a: !x '12'\nb: ! '12'\n", json!({"a": 12, "b": 12}))]
#[case::tabs_within_quotes_and_brackets("a: 'b\n\t\n  c'\nd: [e,\n\t\n  f]\n", json!({"a": "b\nc", "d": ["e", "f"]}))]
#[case::merging_a_string("a: {<<: b}\n", json!({"a": {"<<": "b"}}))]
#[case::merging_nothing("a:\n  <<:\n  b: c\n", json!({"a": {"<<": null, "b": "c"}}))]
#[case::merging_a_list("a: {<<: [{b: c}, d]}\n", json!({"a": {"<<": [{"b": "c"}, "d"]}}))]
#[case::dash_in_brackets("a: {V: -, W: [-, -]}\n", json!({"a": {"V": "-", "W": ["-", "-"]}}))]
#[case::comment_behind_a_quote("a: 'b'#c\nd: [e]#f\ng: h\n", json!({"a": "b", "d": ["e"], "g": "h"}))]
#[case::comment_behind_a_bracket("a: {#b\n  c: d}\n", json!({"a": {"c": "d"}}))]
#[case::set_of_a_list("a: !!set [b]\n", json!({"a": ["b"]}))]
#[case::symbol_of_two_lines("a: :b\n\n  c\n", json!({"a": ":b\nc"}))]
#[case::tab_behind_the_header("a: |\t\n  b\n\n  c\n", json!({"a": "b\n\nc\n"}))]
#[case::tab_in_a_blank_line_behind_a_word("a:\n  b: c\n   \t\nd: e\n", json!({"a": {"b": "c"}, "d": "e"}))]
#[case::spaces_that_are_content("a: |2\n   ", json!({"a": " "}))]
#[case::no_line_break_at_the_end("a: |\n  b\n  c", json!({"a": "b\nc"}))]
#[case::white_space_at_the_end("a: |\n  b\n  ", json!({"a": "b\n"}))]
#[case::tab_behind_the_indentation("a: |\n  b\n  \tc\n", json!({"a": "b\n\tc\n"}))]
#[case::indentation_in_the_header("a: |2\n  \tb\n", json!({"a": "\tb\n"}))]
#[case::explicit_key_without_a_value("?\n: b\n", json!({"": "b"}))]
#[case::end_of_the_document("a: b\n...\n", json!({"a": "b"}))]
#[case::number_as_key("1: a\n", json!({"1": "a"}))]
#[case::alias("a: &x {k: v}\nb: *x\n", json!({"a": {"k": "v"}, "b": {"k": "v"}}))]
#[case::merge("a: &x {k: v, l: v}\nb: {<<: *x, k: w}\n", json!({"a": {"k": "v", "l": "v"}, "b": {"k": "w", "l": "v"}}))]
#[case::a_merge_replaces_earlier_keys("a: &x {k: v}\nb: {k: w, <<: *x}\n", json!({"a": {"k": "v"}, "b": {"k": "v"}}))]
#[case::the_first_of_several_merges_wins("b: {<<: [{k: 1}, {k: 2, l: 3}]}\n", json!({"b": {"k": 1, "l": 3}}))]
#[case::reference("a: !reference [.b, script]\n", json!({"a": "!reference [\".b\", \"script\"]"}))]
fn parses_documents(#[case] text: &str, #[case] expected: serde_json::Value) {
    assert_eq!(read(text), (vec![expected], Vec::new()));
}

#[rstest]
#[case::duplicate("a: 1\nb: 2\na: 3\n", "a.yml:3:1: duplicate key `a`")]
#[case::date("a:\n  b: 2020-01-31\n", "a.yml:2:6: Tried to load unspecified class: Date")]
#[case::set("a: !!set {b, c}\n", "a.yml:1:10: Tried to load unspecified class: Set")]
#[case::object("a: !ruby/object:Foo {}\n", "a.yml:1:21: Tried to load unspecified class: Object")]
#[case::text_as_float("a: !!float x\n", "a.yml:1:12: Tried to load unspecified class: Float")]
#[case::binary_content("a: !!binary /w==\n", "a.yml:1:13: the content of `!!binary` is not UTF-8 text")]
#[case::empty_reference("a: !reference []\n", "a.yml:1:15: !reference [] is not valid")]
#[case::reference_with_a_number("a: !reference [b, 1]\n", "a.yml:1:15: !reference [\"b\", 1] is not valid")]
#[case::reference_of_a_word("a: !reference foo\n", "a.yml:1:15: !reference \"foo\" is not valid")]
#[case::reference_of_a_hash("a: !reference {b: c}\n", "a.yml:1:15: !reference {\"b\"=>\"c\"} is not valid")]
fn reports_mistakes(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(read(text).1, [expected]);
}

#[rstest]
#[case::unclosed("a: [1\n")]
#[case::tabs("a:\n\t- b\n")]
#[case::tab_on_a_line("a: b\n\t\nc: d\n")]
#[case::tab_before_a_comment("a:\n\t# b\n  c: d\n")]
#[case::tab_before_a_word("a:\n  b: c\n \td: e\n")]
#[case::tab_behind_a_dash("a:\n  -\t\n    b: c\n")]
#[case::tab_before_brackets("\t{}\n")]
#[case::key_on_two_lines_in_brackets("a: {b\n  c: d}\n")]
#[case::colon_on_the_next_line_in_brackets("a: {'b'\n  : c}\n")]
#[case::anchor_with_a_point("a: &b.c d\n")]
#[case::anchor_with_an_umlaut("a: {\"b\":&ä c}\n")]
#[case::hash_as_a_string("a: !!str {b: c}\n")]
#[case::directive("%YAML 1.1\n---\na: b\n")]
#[case::surrogates("a: \"\\ud83d\\ude00\"\n")]
#[case::symbol_in_brackets("a: [:b]\n")]
#[case::symbol_in_braces("a: {b: :c}\n")]
#[case::question_mark_in_brackets("a: [b, ?]\n")]
#[case::colon_before_a_bracket("a: {V:}\n")]
#[case::colon_before_a_comma("a: [b:, c]\n")]
#[case::no_key("a: b\n: c\n")]
#[case::no_key_in_brackets("a: [: b]\n")]
#[case::tab_in_the_indentation("a: |\n  \tb\n")]
#[case::tab_in_a_blank_line("a: >\n  \t\n  b\n")]
#[case::end_of_no_document("...\na: b\n")]
#[case::indentation_behind_a_divider("---\n  a: b\n  c: d\n")]
#[case::alias_of_another_document("a: &x b\n---\nc: *x\n")]
#[case::unknown_alias("a: *x\n")]
#[case::alias_of_itself("a: &x [*x]\n")]
fn rejects_invalid_yaml(#[case] text: &str) {
    let (documents, messages) = read(text);
    assert_eq!((documents.len(), messages.len()), (0, 1), "{messages:?}");
}

#[rstest]
#[case::at_the_end("a: [")]
#[case::at_a_letter("a: ]ä")]
#[case::before_a_letter("ä: ä: ä")]
fn error_places_are_within_the_text(#[case] text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("", text);
    let mut diagnostics = Diagnostics::default();
    compose(&sources, file, &mut diagnostics);
    let span = diagnostics.sorted()[0].span;
    assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
}

#[test]
fn rejects_exponential_aliases() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
    }
    let (documents, messages) = read(&text);
    assert!(documents.is_empty());
    assert!(messages[0].ends_with("The parsed YAML is too big"), "{messages:?}");
}

/// The position of a block ends with its last value, and not at the token after it.
#[rstest]
#[case::list("a:\n  - b\n  - c: d\n\n# e\nf: g\n", "- b\n  - c: d")]
#[case::mapping("a:\n  b: c\n\nd: e\n", "b: c")]
#[case::alias("z: &z x\na:\n  b: *z\nd: e\n", "b: *z")]
#[case::brackets("a: [b,\n  c ]\nd: e\n", "[b,\n  c ]")]
fn places_end_with_the_last_value(#[case] text: &str, #[case] expected: &str) {
    let mut sources = Sources::default();
    let file = sources.add("a.yml", text);
    let documents = compose(&sources, file, &mut Diagnostics::default());
    let span = documents[0].get("a").unwrap().span;
    assert_eq!(&text[span.start as usize..span.end as usize], expected);
}

#[test]
fn rejects_deep_nesting() {
    let (documents, messages) = read(&format!("a: {}{}\n", "[".repeat(200), "]".repeat(200)));
    assert!(documents.is_empty());
    assert!(messages[0].ends_with("The parsed YAML is too big"), "{messages:?}");
}

// `MAX_DOCUMENTS`: the third part is not cut, and only its first document counts.
#[test]
fn parses_three_documents() {
    let (documents, messages) = read("a: 1\n---\nb: 2\n---\nc: 3\n---\nd: [4\n");
    assert_eq!(documents, [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]);
    assert_eq!(messages, ["a.yml:7:1: only the first document of the file is read"]);
}

#[test]
fn parses_two_documents() {
    assert_eq!(read("spec: {inputs: {}}\n---\na: 1\n").0, [json!({"spec": {"inputs": {}}}), json!({"a": 1})]);
}
