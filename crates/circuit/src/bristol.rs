//! Bristol Fashion, the text format of circuits: the new one (numbers of inputs and outputs with their widths, constants and copies) and the old
//! one (two inputs, one output).

use crate::boolean::{Circuit, Gate, Malformed, Wire};
use std::fmt::Write;

/// Why a text is no circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line that does not say what it should.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The text ends too soon, or goes on too long.
    #[error("the header announces {announced} gates, and there are {found}")]
    Gates {
        /// In the header.
        announced: usize,
        /// In the text.
        found: usize,
    },
    /// Gates that make no circuit.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads a circuit in either format.
///
/// # Errors
/// [`ParseError`], naming the line.
pub fn parse(text: &str) -> Result<Circuit, ParseError> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let mut numbers = |what| -> Result<(usize, Vec<usize>), ParseError> {
        let (line, text) =
            lines.next().ok_or(ParseError::Line { line: 0, problem: "the text ends before its header" })?;
        let numbers: Result<Vec<usize>, _> = text.split_whitespace().map(str::parse).collect();
        Ok((line, numbers.map_err(|_| ParseError::Line { line, problem: what })?))
    };
    let (line, counts) = numbers("the first line gives the numbers of gates and wires")?;
    let [announced, wires] = counts[..] else {
        return Err(ParseError::Line { line, problem: "the first line gives the numbers of gates and wires" });
    };
    let (line, second) = numbers("the second line gives widths of inputs")?;
    let mut lines = lines.peekable();
    // In the old format gates follow; in the new one a line of numbers only.
    let old = lines.peek().is_none_or(|(_, next)| next.ends_with(|c: char| c.is_ascii_alphabetic()));
    let counted = |line: usize, numbers: &[usize]| match numbers {
        [count, widths @ ..] if widths.len() == *count => Ok(widths.to_vec()),
        _ => Err(ParseError::Line { line, problem: "a number of values and as many widths are due here" }),
    };
    let (inputs, outputs) = if old {
        let [first, other, out] = second[..] else {
            return Err(ParseError::Line {
                line,
                problem: "the old format gives two widths of inputs and one of the output",
            });
        };
        ([first, other].into_iter().filter(|width| *width > 0).collect(), vec![out])
    } else {
        let inputs = counted(line, &second)?;
        let (line, text) = lines.next().expect("peeked");
        let third: Result<Vec<usize>, _> = text.split_whitespace().map(str::parse).collect();
        let third = third.map_err(|_| ParseError::Line { line, problem: "the third line gives widths of outputs" })?;
        (inputs, counted(line, &third)?)
    };
    let mut gates = Vec::new();
    for (line, text) in lines {
        gate(line, text, &mut gates)?;
    }
    let found = gates.len();
    // A MAND counts once and is many gates.
    if found < announced {
        return Err(ParseError::Gates { announced, found });
    }
    Ok(Circuit::new(wires, inputs, outputs, gates)?)
}

fn gate(line: usize, text: &str, gates: &mut Vec<Gate>) -> Result<(), ParseError> {
    let wrong = |problem| ParseError::Line { line, problem };
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let kind = words.pop().ok_or(wrong("a gate is due here"))?;
    let numbers: Result<Vec<Wire>, _> = words.into_iter().map(str::parse).collect();
    let numbers = numbers.map_err(|_| wrong("a gate has numbers and then its kind"))?;
    match (kind, &numbers[..]) {
        ("XOR", [2, 1, a, b, out]) => gates.push(Gate::Xor(*a, *b, *out)),
        ("AND", [2, 1, a, b, out]) => gates.push(Gate::And(*a, *b, *out)),
        ("INV" | "NOT", [1, 1, a, out]) => gates.push(Gate::Not(*a, *out)),
        ("EQW", [1, 1, a, out]) => gates.push(Gate::Copy(*a, *out)),
        ("EQ", [1, 1, bit @ (0 | 1), out]) => gates.push(Gate::Constant(*bit == 1, *out)),
        ("MAND", [twice, count, wires @ ..])
            if *twice as usize == 2 * *count as usize && wires.len() == 3 * *count as usize =>
        {
            let n = *count as usize;
            gates.extend((0..n).map(|i| Gate::And(wires[i], wires[n + i], wires[2 * n + i])));
        }
        ("XOR" | "AND" | "INV" | "NOT" | "EQW" | "EQ" | "MAND", _) => {
            return Err(wrong("the numbers of this gate are not those of its kind"));
        }
        _ => return Err(wrong("gates are XOR, AND, INV, EQ, EQW or MAND")),
    }
    Ok(())
}

/// The circuit in the new format.
pub fn write(circuit: &Circuit) -> String {
    let mut text = format!("{} {}\n", circuit.gates().len(), circuit.wires());
    for widths in [circuit.inputs(), circuit.outputs()] {
        let widths: Vec<String> =
            std::iter::once(widths.len()).chain(widths.iter().copied()).map(|n| n.to_string()).collect();
        text.push_str(&widths.join(" "));
        text.push('\n');
    }
    text.push('\n');
    for gate in circuit.gates() {
        let written = match *gate {
            Gate::Xor(a, b, out) => writeln!(text, "2 1 {a} {b} {out} XOR"),
            Gate::And(a, b, out) => writeln!(text, "2 1 {a} {b} {out} AND"),
            Gate::Not(a, out) => writeln!(text, "1 1 {a} {out} INV"),
            Gate::Copy(a, out) => writeln!(text, "1 1 {a} {out} EQW"),
            Gate::Constant(bit, out) => writeln!(text, "1 1 {} {out} EQ", u8::from(bit)),
        };
        written.expect("strings take what is written");
    }
    text
}

/// For fuzzing: whatever the bytes are, they are a circuit or not.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(circuit) = std::str::from_utf8(bytes).map_err(drop).and_then(|text| parse(text).map_err(drop)) {
        assert_eq!(parse(&write(&circuit)).as_ref(), Ok(&circuit), "what is written reads as what it was");
    }
}
