//! Long texts in pieces: the model speaks up to 50 tokens at a time, a sentence or more.

use crate::Result;
use crate::config::Config;
use crate::text::prepare;
use crate::tokenizer::Tokenizer;

const SENTENCE_MARKS: &str = ".!...?";
const CLAUSE_MARKS: &str = ",;:";

/// How many tokens a piece had where it was cut, and its text.
type Piece = (usize, String);

/// Cut a text at its sentences, long sentences at their clauses, and fill chunks with them.
///
/// A clause that has too many tokens by itself stays whole.
pub fn split_text(
    text: &str,
    rules: &Config,
    tokenizer: &Tokenizer,
    max_tokens: usize,
) -> Result<Vec<String>> {
    let tokens = tokenizer.encode(prepare(text, rules)?.trim());
    let mut pieces = Vec::new();
    for (count, sentence) in cut(&tokens, SENTENCE_MARKS, tokenizer, true) {
        let inner = tokenizer.encode(sentence.trim());
        let clauses = if count > max_tokens {
            cut(&inner, CLAUSE_MARKS, tokenizer, false)
        } else {
            Vec::new()
        };
        if clauses.len() > 1 { pieces.extend(clauses) } else { pieces.push((count, sentence)) }
    }
    Ok(filled(pieces, max_tokens))
}

fn cut(tokens: &[u32], marks: &str, tokenizer: &Tokenizer, numbers_stay: bool) -> Vec<Piece> {
    // The first token of the marks is the space that SentencePiece puts before a text.
    let marks = tokenizer.encode(marks).split_off(1);
    let starts = (1..tokens.len()).filter(|&place| {
        marks.contains(&tokens[place - 1])
            && !marks.contains(&tokens[place])
            && !(numbers_stay && splits_number(tokens, place, tokenizer))
    });
    let edges: Vec<_> = [0].into_iter().chain(starts).chain([tokens.len()]).collect();
    let between = edges.windows(2).map(|edge| &tokens[edge[0]..edge[1]]);
    between.map(|part| (part.len(), tokenizer.decode(part))).collect()
}

/// Whether a cut at `place` falls behind the point of a decimal number.
fn splits_number(tokens: &[u32], place: usize, tokenizer: &Tokenizer) -> bool {
    let before = tokenizer.decode(&tokens[..place]);
    let after = tokenizer.decode(&tokens[place..]);
    let mut last = before.chars().rev();
    let digit = |c: Option<char>| c.is_some_and(char::is_numeric);
    last.next() == Some('.') && digit(last.next()) && digit(after.chars().next())
}

fn filled(pieces: Vec<Piece>, max_tokens: usize) -> Vec<String> {
    let mut chunks: Vec<Piece> = Vec::new();
    for (count, text) in pieces {
        match chunks.last_mut() {
            Some((total, chunk)) if *total + count <= max_tokens => {
                *total += count;
                *chunk = format!("{chunk} {text}");
            }
            _ => chunks.push((count, text)),
        }
    }
    chunks.into_iter().map(|(_, chunk)| chunk.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn chunks_are_filled_up_to_the_bound() {
        let pieces = [(3, "a"), (2, "b"), (4, "c"), (9, "d")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(filled(pieces.to_vec(), 5), ["a b", "c", "d"]);
    }
}
