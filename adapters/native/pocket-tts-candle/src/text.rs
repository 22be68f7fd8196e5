//! Text preparation: the spelling that the model was trained on.

use parity_candidate::Error;

use crate::Result;
use crate::config::Config;

const SENTENCE_MARKS: &[char] = &['.', '!', '?', '…'];
const WEAK_MARKS: &[char] = &[',', ';', ':', '-', '–', '—', ' '];
const CLOSERS: &[char] = &['"', '\'', '”', '’', ')', ']', '»', ' '];
const SHORT_WORDS: usize = 5;
const SHORT_PADDING: &str = "        ";

/// The text as it goes to the tokeniser.
///
/// # Errors
///
/// When nothing is left of it.
pub fn prepare(text: &str, rules: &Config) -> Result<String> {
    let mut text = cleaned(text, rules)?;
    if rules.capitalize_first_letter {
        let first = text.chars().next().expect("it is not empty");
        text = first.to_uppercase().chain(text.chars().skip(1)).collect();
    }
    if rules.append_terminal_punctuation {
        text = end_sentence(&text);
    }
    if rules.pad_with_spaces_for_short_inputs && words(&text) < SHORT_WORDS {
        text.insert_str(0, SHORT_PADDING);
    }
    Ok(text)
}

/// How many frames to keep after the end of speech is detected.
///
/// A text of a few words needs a longer tail, or its last sound is cut.
pub fn frames_after_eos(text: &str, rules: &Config) -> Result<usize> {
    Ok(if words(&cleaned(text, rules)?) < SHORT_WORDS { 5 } else { 3 })
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn cleaned(text: &str, rules: &Config) -> Result<String> {
    let text = replaced(text.trim(), rules);
    if text.is_empty() {
        return Err(Error::bad_input("the text to speak is empty"));
    }
    // Pairs of spaces once each, from left to right: three in a row leave two.
    let text = text.replace(['\n', '\r'], " ").replace("  ", " ");
    Ok(if rules.remove_semicolons { text.replace(';', ",") } else { text })
}

/// See that the text ends with a sentence mark, before closing quotes and brackets if any.
fn end_sentence(text: &str) -> String {
    let core = text.trim_end_matches(CLOSERS);
    let closers = text[core.len()..].trim();
    match core.chars().next_back() {
        None => text.into(),
        Some(last) if SENTENCE_MARKS.contains(&last) => text.into(),
        Some(last) if last != ' ' && WEAK_MARKS.contains(&last) => {
            format!("{}.{closers}", core.trim_end_matches(WEAK_MARKS))
        }
        Some(_) => format!("{text}."),
    }
}

fn replaced(text: &str, rules: &Config) -> String {
    if rules.replace_characters.is_empty() {
        return text.into();
    }
    let mut spelt = String::new();
    for character in text.chars() {
        match rules.replace_characters.get(&character) {
            Some(new) => spelt.push_str(new),
            None => spelt.push(character),
        }
    }
    let spelt = spelt.split_whitespace().collect::<Vec<_>>().join(" ");
    without_doubled_marks(&spelt)
}

/// A deleted quote can leave a sentence mark followed by a comma: the sentence mark stays.
fn without_doubled_marks(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        if [',', ';', ':'].contains(&character) && kept.trim_end().ends_with(SENTENCE_MARKS) {
            kept.truncate(kept.trim_end().len());
        } else {
            kept.push(character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{end_sentence, without_doubled_marks};

    #[test]
    fn sentences_end() {
        assert_eq!(end_sentence("Go on"), "Go on.");
        assert_eq!(end_sentence("Go on!"), "Go on!");
        assert_eq!(end_sentence("He said: \"go,\""), "He said: \"go.\"");
        assert_eq!(end_sentence("(why?)"), "(why?)");
    }

    #[test]
    fn one_mark_is_left() {
        assert_eq!(without_doubled_marks("Go! , he said"), "Go! he said");
        assert_eq!(without_doubled_marks("Go, he said"), "Go, he said");
    }
}
