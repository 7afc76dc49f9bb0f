//! Frame headers: fixed length, little-endian, checked before anything is allocated.

use crate::Tag;

/// Bytes of a header.
pub const HEADER: usize = 40;
/// Longest payload accepted: 16 MiB.
pub const MAX_PAYLOAD: usize = 1 << 24;
const MAGIC: [u8; 3] = *b"PVT";
const VERSION: u8 = 1;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Program data.
    Data = 1,
    /// A sign of life, no payload.
    Heartbeat = 2,
    /// Why the sender stops.
    Abort = 3,
    /// Orderly end, no payload.
    Bye = 4,
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What it carries.
    pub kind: Kind,
    /// First eight bytes of the session identifier.
    pub session: u64,
    /// Place in the program.
    pub tag: Tag,
    /// Sender's logical clock.
    pub depth: u32,
    /// Payload bytes.
    pub len: usize,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header.
    #[error("a header has {HEADER} bytes")]
    Truncated,
    /// Another protocol or version.
    #[error("unknown magic or version")]
    Magic,
    /// An unknown kind.
    #[error("unknown kind of frame")]
    Kind,
    /// Longer than the cap.
    #[error("payload of {0} bytes is beyond the cap")]
    TooLong(usize),
}

/// Header to bytes.
pub fn encode(h: &Header) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..3].copy_from_slice(&MAGIC);
    out[3] = VERSION;
    out[4] = h.kind as u8;
    out[8..16].copy_from_slice(&h.session.to_le_bytes());
    out[16..20].copy_from_slice(&h.tag.epoch.to_le_bytes());
    out[20..28].copy_from_slice(&h.tag.step.to_le_bytes());
    out[28..32].copy_from_slice(&h.tag.tile.to_le_bytes());
    out[32..36].copy_from_slice(&h.depth.to_le_bytes());
    out[36..40].copy_from_slice(&(h.len as u32).to_le_bytes());
    out
}

/// Bytes to header. Never panics.
pub fn parse_header(bytes: &[u8]) -> Result<Header, FrameError> {
    let bytes: &[u8; HEADER] = bytes.get(..HEADER).and_then(|b| b.try_into().ok()).ok_or(FrameError::Truncated)?;
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| word(at) as u64 | (word(at + 4) as u64) << 32;
    if bytes[..3] != MAGIC || bytes[3] != VERSION {
        return Err(FrameError::Magic);
    }
    let kind = match bytes[4] {
        1 => Kind::Data,
        2 => Kind::Heartbeat,
        3 => Kind::Abort,
        4 => Kind::Bye,
        _ => return Err(FrameError::Kind),
    };
    let len = word(36) as usize;
    if len > MAX_PAYLOAD {
        return Err(FrameError::TooLong(len));
    }
    let tag = Tag { epoch: word(16), step: long(20), tile: word(28) };
    Ok(Header { kind, session: long(8), tag, depth: word(32), len })
}

/// Fuzz entry: any bytes parse or fail, and what parses encodes to the same header.
pub fn fuzz_header(bytes: &[u8]) {
    if let Ok(header) = parse_header(bytes) {
        assert_eq!(parse_header(&encode(&header)), Ok(header));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            fuzz_header(&bytes);
        }

        #[test]
        fn headers_round_trip(session: u64, epoch: u32, step: u64, tile: u32, depth: u32, len in 0..=MAX_PAYLOAD) {
            let h = Header { kind: Kind::Data, session, tag: Tag { epoch, step, tile }, depth, len };
            prop_assert_eq!(parse_header(&encode(&h)), Ok(h));
        }
    }

    #[test]
    fn lengths_are_capped_before_use() {
        let tag = Tag { epoch: 0, step: 0, tile: 0 };
        let mut bytes = encode(&Header { kind: Kind::Data, session: 0, tag, depth: 0, len: 0 });
        bytes[36..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse_header(&bytes), Err(FrameError::TooLong(u32::MAX as usize)));
        assert_eq!(parse_header(&bytes[..39]), Err(FrameError::Truncated));
        bytes[3] = 9;
        assert_eq!(parse_header(&bytes), Err(FrameError::Magic));
    }
}
