//! `SentencePiece` unigram models: text to token numbers and back.
//!
//! Source: Kudo, "Subword Regularization" (2018), and the scores and tie-breaking of the
//! `SentencePiece` library, which a port must share to the token.

use std::collections::HashMap;
use std::path::Path;

use parity_candidate::Error;

use crate::Result;
use crate::config::place;
use crate::protobuf::{Value, fields};

const SPACE: char = '\u{2581}';
const UNKNOWN_PENALTY: f32 = 10.0;
const UNKNOWN_TEXT: &str = " \u{2047} ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    UserDefined,
    Byte,
    Other,
}

#[derive(Debug)]
struct Piece {
    text: String,
    score: f32,
    kind: Kind,
}

/// A tokeniser read from a model file.
#[derive(Debug)]
pub struct Tokenizer {
    pieces: Vec<Piece>,
    ids: HashMap<String, u32>,
    longest: usize,
    unknown: u32,
    lowest: f32,
    highest: f32,
    byte_fallback: bool,
    dummy_prefix: bool,
    squeeze_spaces: bool,
}

impl Tokenizer {
    /// Read a model file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is damaged, or is of a kind that is not done here: other than
    /// unigram, or with tables of Unicode normalisation.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| place(path, error))?;
        Self::parse(&bytes).map_err(|error| place(path, error))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            ids: HashMap::new(),
            longest: 0,
            unknown: 0,
            lowest: f32::MAX,
            highest: f32::MIN,
            byte_fallback: false,
            dummy_prefix: true,
            squeeze_spaces: true,
        };
        for (number, value) in message(bytes)? {
            match number {
                1 => model.add(value.bytes())?,
                2 => model.set_training(value.bytes())?,
                3 => model.set_normalisation(value.bytes())?,
                _ => {}
            }
        }
        Ok(model)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
        for (number, value) in message(bytes)? {
            match (number, value) {
                (1, Value::Bytes(text)) => piece.text = String::from_utf8_lossy(text).into_owned(),
                (2, Value::Float(score)) => piece.score = score,
                (3, Value::Number(kind)) => piece.kind = kind_of(kind),
                _ => {}
            }
        }
        let id = self.pieces.len() as u32;
        match piece.kind {
            Kind::Normal => {
                self.lowest = self.lowest.min(piece.score);
                self.highest = self.highest.max(piece.score);
            }
            Kind::Unknown => self.unknown = id,
            _ => {}
        }
        self.longest = self.longest.max(piece.text.len());
        self.ids.insert(piece.text.clone(), id);
        self.pieces.push(piece);
        Ok(())
    }

    fn set_training(&mut self, bytes: &[u8]) -> Result<()> {
        for (number, value) in message(bytes)? {
            match (number, value.number()) {
                (3, kind) if kind != 1 => return Err(Error::bad_input("not a unigram model")),
                (35, on) => self.byte_fallback = on != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn set_normalisation(&mut self, bytes: &[u8]) -> Result<()> {
        for (number, value) in message(bytes)? {
            match number {
                2 if !value.bytes().is_empty() => {
                    return Err(Error::bad_input("Unicode normalisation is not done here"));
                }
                3 => self.dummy_prefix = value.number() != 0,
                4 => self.squeeze_spaces = value.number() != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// The token numbers of a text: those of the best segmentation.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalised(text);
        let mut ids: Vec<u32> = Vec::new();
        let mut after_unknown = false;
        for (start, end, id) in self.segments(&text) {
            let unknown = id == self.unknown;
            if unknown && self.byte_fallback {
                ids.extend(text.as_bytes()[start..end].iter().map(|byte| self.byte_id(*byte)));
            } else if !(unknown && after_unknown) {
                // A run of unknown characters is one token.
                ids.push(id);
            }
            after_unknown = unknown;
        }
        ids
    }

    /// One token a character, as a port without the model would have it.
    #[must_use]
    pub fn encode_characters(&self, text: &str) -> Vec<u32> {
        let escaped = text.chars().map(|c| if c == ' ' { SPACE } else { c });
        escaped.map(|c| self.ids.get(&c.to_string()).copied().unwrap_or(self.unknown)).collect()
    }

    /// The text of tokens, without the space that begins a word at the start.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for piece in ids.iter().filter_map(|&id| self.pieces.get(id as usize)) {
            match piece.kind {
                Kind::Byte => bytes.extend(u8::from_str_radix(&piece.text[3..5], 16)),
                Kind::Unknown => bytes.extend(UNKNOWN_TEXT.bytes()),
                _ => bytes.extend(piece.text.bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let text =
            if self.dummy_prefix { text.strip_prefix(SPACE).unwrap_or(&text) } else { &text };
        text.replace(SPACE, " ")
    }

    fn normalised(&self, text: &str) -> String {
        let text = if self.squeeze_spaces {
            text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        } else {
            text.to_owned()
        };
        let prefix = if self.dummy_prefix && !text.is_empty() { " " } else { "" };
        format!("{prefix}{text}").replace(' ', &SPACE.to_string())
    }

    /// The best segmentation: start, end and token of each piece.
    fn segments(&self, text: &str) -> Vec<(usize, usize, u32)> {
        // The best way to each place in the text: its score, where its last piece starts, which.
        let mut best: Vec<Option<(f32, usize, u32)>> = vec![None; text.len() + 1];
        best[0] = Some((0.0, 0, self.unknown));
        for (start, character) in text.char_indices() {
            let Some((so_far, ..)) = best[start] else { continue };
            let mut alone = false;
            let furthest = text.len().min(start + self.longest);
            for end in (start + 1..=furthest).filter(|&end| text.is_char_boundary(end)) {
                let Some(&id) = self.ids.get(&text[start..end]) else { continue };
                if let Some(score) = self.score(id, end - start) {
                    alone |= end - start == character.len_utf8();
                    improve(&mut best[end], so_far + score, start, id);
                }
            }
            if !alone {
                let end = start + character.len_utf8();
                improve(
                    &mut best[end],
                    so_far + self.lowest - UNKNOWN_PENALTY,
                    start,
                    self.unknown,
                );
            }
        }
        let (mut found, mut end) = (Vec::new(), text.len());
        while let (Some((_, start, id)), true) = (best[end], end > 0) {
            found.push((start, end, id));
            end = start;
        }
        found.reverse();
        found
    }

    /// The score of a piece that may stand in a text; one that a user defined beats all others.
    fn score(&self, id: u32, length: usize) -> Option<f32> {
        let piece = &self.pieces[id as usize];
        match piece.kind {
            Kind::Normal => Some(piece.score),
            Kind::UserDefined => Some(length as f32 * self.highest - 0.1),
            _ => None,
        }
    }

    fn byte_id(&self, byte: u8) -> u32 {
        self.ids.get(&format!("<0x{byte:02X}>")).copied().unwrap_or(self.unknown)
    }
}

fn improve(best: &mut Option<(f32, usize, u32)>, score: f32, start: usize, id: u32) {
    if best.is_none_or(|(known, ..)| score > known) {
        *best = Some((score, start, id));
    }
}

fn message(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>> {
    fields(bytes).ok_or_else(|| Error::bad_input("not a SentencePiece model, or a damaged one"))
}

fn kind_of(number: u64) -> Kind {
    match number {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        4 => Kind::UserDefined,
        6 => Kind::Byte,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::Tokenizer;

    /// A model file with these pieces, without the prefix and the squeezing of spaces.
    fn model(pieces: &[(&str, f32, u8)]) -> Tokenizer {
        let mut bytes = Vec::new();
        for (text, score, kind) in pieces {
            let mut piece = vec![0x0a, text.len() as u8];
            piece.extend(text.bytes());
            piece.push(0x15);
            piece.extend(score.to_le_bytes());
            piece.extend([0x18, *kind]);
            bytes.extend([0x0a, piece.len() as u8]);
            bytes.extend(piece);
        }
        bytes.extend([0x1a, 4, 0x18, 0, 0x20, 0]);
        Tokenizer::parse(&bytes).unwrap()
    }

    #[test]
    fn the_best_segmentation_wins() {
        let tokenizer = model(&[("?", 0.0, 2), ("a", -1.0, 1), ("b", -1.0, 1), ("ab", -1.5, 1)]);
        assert_eq!(tokenizer.encode("abba"), [3, 2, 1]);
        assert_eq!(tokenizer.decode(&[3, 2, 1]), "abba");
    }

    #[test]
    fn a_symbol_of_the_user_has_a_score_of_its_own() {
        let tokenizer = model(&[("?", 0.0, 2), ("a.", -0.5, 1), ("a", -1.0, 1), (".", 0.0, 4)]);
        assert_eq!(tokenizer.encode("a."), [1]);
        let rarer = model(&[("?", 0.0, 2), ("a.", -9.0, 1), ("a", -1.0, 1), (".", 0.0, 4)]);
        assert_eq!(rarer.encode("a."), [2, 3]);
    }

    #[test]
    fn unknown_characters_in_a_row_are_one_token() {
        let tokenizer = model(&[("?", 0.0, 2), ("a", -1.0, 1)]);
        assert_eq!(tokenizer.encode("xya"), [0, 1]);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        assert!(Tokenizer::parse(b"hello").is_err());
    }
}
