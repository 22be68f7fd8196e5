//! What a candidate says about itself.

use std::fmt::Write;

/// What a candidate says about itself. `parity` puts the facts into its captures.
///
/// ```
/// use parity_candidate::Description;
///
/// let about = Description::new("my-port", "candle").fact("precision", "float32").inject();
/// assert!(about.to_json().starts_with(r#"{"name":"my-port","#));
/// ```
#[derive(Debug, Clone)]
pub struct Description {
    name: String,
    facts: Vec<(String, String)>,
    inputs: Vec<String>,
    inject: bool,
    states: bool,
    streaming: bool,
}

impl Description {
    /// A candidate `name`, written with `framework`.
    #[must_use]
    pub fn new(name: &str, framework: &str) -> Self {
        Self {
            name: name.into(),
            facts: vec![("framework".into(), framework.into())],
            inputs: Vec::new(),
            inject: false,
            states: false,
            streaming: false,
        }
    }

    /// A fact of the run: `framework_version`, `precision`, `device`, or one of your own.
    #[must_use]
    pub fn fact(mut self, name: &str, value: &str) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// An input that cases give: an array, or a value among the case's inputs.
    #[must_use]
    pub fn input(mut self, name: &str) -> Self {
        self.inputs.push(name.into());
        self
    }

    /// It goes on with what a tap puts in a tensor's place: it uses [`Tap::pass`](crate::Tap::pass).
    /// Where it uses [`Tap::record`](crate::Tap::record), a replacement is refused.
    #[must_use]
    pub fn inject(mut self) -> Self {
        self.inject = true;
        self
    }

    /// It names its states under [`Role::State`](crate::Role::State).
    #[must_use]
    pub fn states(mut self) -> Self {
        self.states = true;
        self
    }

    /// It can give its output in pieces.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }

    /// As the header wants it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let facts: Vec<_> = self
            .facts
            .iter()
            .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
            .collect();
        let inputs: Vec<_> = self.inputs.iter().map(|name| quoted(name)).collect();
        format!(
            concat!(
                r#"{{"name":{},"facts":{{{}}},"inputs":[{}],"capabilities":"#,
                r#"{{"inject":{},"states":{},"streaming":{},"devices":["cpu"]}}}}"#
            ),
            quoted(&self.name),
            facts.join(","),
            inputs.join(","),
            self.inject,
            self.states,
            self.streaming
        )
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                write!(json, "\\u{:04x}", u32::from(control)).expect("a string takes everything");
            }
            plain => json.push(plain),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\u000ad""#);
    }
}
