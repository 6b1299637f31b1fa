//! Writes a jar from entries that are packed already, with their own times.
//!
//! An entry keeps the time that it had: it is the `Last-Modified` of a static file, and with another one a browser would go on
//! showing the file of the release before. Sizes stand before the content, so that a stored entry can be read as a stream.
//! Formats: APPNOTE.TXT of PKWARE, 4.3.7, 4.3.12, 4.3.16.

use std::io::{self, Write};

use rawzip::CompressionMethod;

/// 1980-01-01, the first day that the format knows.
const FIRST_DAY: u16 = (1 << 5) | 1;

/// What an entry says of itself.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// A folder's ends in a slash.
    pub(super) name: String,
    pub(super) method: CompressionMethod,
    /// Time and date as DOS packs them.
    pub(super) time: (u16, u16),
    /// The extended timestamp as it stands in the central directory (`0x5455`, Info-ZIP), which the JVM takes before the other one.
    pub(super) stamp: Option<Vec<u8>>,
    pub(super) sum: u32,
    pub(super) packed: u32,
    pub(super) whole: u32,
}

impl Head {
    /// A folder, or a text of ours that is stored as it is; without a time of its own it is of 1980, like the entries of builds that
    /// can be repeated.
    pub(super) fn plain(name: &str, content: &[u8]) -> Self {
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        Self {
            name: name.to_owned(),
            method: CompressionMethod::STORE,
            time: (0, FIRST_DAY),
            stamp: None,
            sum: sum.sum(),
            packed: length,
            whole: length,
        }
    }

    /// What both headers of an entry share: needs 2.0, UTF-8, method, time, date, check sum, sizes, length of the name.
    fn common(&self) -> Vec<u8> {
        let method = self.method.as_u16();
        let name = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        let (time, date) = self.time;
        let words: [u16; 5] = [20, 1 << 11, method, time, date];
        let sizes = [self.sum, self.packed, self.whole];
        words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .chain(sizes.iter().flat_map(|s| s.to_le_bytes()))
            .chain(name.to_le_bytes())
            .collect()
    }
}

/// Why a jar is not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    /// What is to stand in it does not allow it, and never will: a sentence about "it", the jar that it was taken from.
    #[error("{0}")]
    Content(String),
    /// The host did not go along this time.
    #[error(transparent)]
    Host(#[from] io::Error),
}

/// A jar that is being written.
pub(super) struct ZipWriter<W> {
    out: W,
    at: u32,
    directory: Vec<u8>,
    count: u16,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, at: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds an entry; `content` writes exactly the packed bytes that the head promises.
    pub(super) fn add<E: Into<Unwritten>>(
        &mut self,
        head: &Head,
        content: impl FnOnce(&mut W) -> Result<(), E>,
    ) -> Result<(), Unwritten> {
        let (common, offset) = (head.common(), self.at);
        let local = [&b"PK\x03\x04"[..], &common, &[0, 0], head.name.as_bytes()].concat();
        let end = u64::from(offset) + local.len() as u64 + u64::from(head.packed);
        (self.at, self.count) = (u32::try_from(end).map_err(too_large)?, self.count.checked_add(1).ok_or(()).map_err(too_large)?);
        self.out.write_all(&local)?;
        content(&mut self.out).map_err(Into::into)?;
        self.remember(head, &common, offset);
        Ok(())
    }

    fn remember(&mut self, head: &Head, common: &[u8], offset: u32) {
        let stamp = head.stamp.as_deref().map_or_else(Vec::new, |data| {
            let length = u16::try_from(data.len()).unwrap_or(0).to_le_bytes();
            [&[0x55, 0x54][..], &length, data].concat()
        });
        let extra = u16::try_from(stamp.len()).unwrap_or(0).to_le_bytes();
        // made by 2.0; no comment, disk 0, no attributes
        self.directory.extend([&b"PK\x01\x02\x14\0"[..], common, &extra, &[0; 10], &offset.to_le_bytes()].concat());
        self.directory.extend([head.name.as_bytes(), &stamp].concat());
    }

    /// Writes the directory.
    pub(super) fn finish(mut self) -> Result<W, Unwritten> {
        let size = u32::try_from(self.directory.len()).map_err(too_large)?.to_le_bytes();
        let count = self.count.to_le_bytes();
        self.out.write_all(&self.directory)?;
        self.out.write_all(&[&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size, &self.at.to_le_bytes(), &[0, 0]].concat())?;
        Ok(self.out)
    }
}

fn too_large<E>(_: E) -> Unwritten {
    Unwritten::Content("it comes to more than 65,535 entries, with one for each folder, or to more than 4 GiB".to_owned())
}

#[cfg(test)]
impl<W: Write> ZipWriter<W> {
    /// Behind so many bytes that are in `out` already, and that its offsets count.
    pub(super) fn behind(out: W, at: usize) -> Self {
        Self { at: u32::try_from(at).unwrap(), ..Self::new(out) }
    }
}
