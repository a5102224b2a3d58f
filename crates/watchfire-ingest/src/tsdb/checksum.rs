//! CRC-32C (Castagnoli), the checksum of Prometheus' chunks, blocks and streamed messages. Not that of gzip, which is `crc32fast`.

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Eight tables, so that eight bytes are taken at a time.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[table - 1][i];
            tables[table][i] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            i += 1;
        }
        table += 1;
    }
    tables
}

/// The checksum of bytes.
pub fn castagnoli(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let low = crc ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let at = |table: usize, byte: u32| TABLES[table][(byte & 0xff) as usize];
        crc = at(7, low)
            ^ at(6, low >> 8)
            ^ at(5, low >> 16)
            ^ at(4, low >> 24)
            ^ at(3, u32::from(word[4]))
            ^ at(2, u32::from(word[5]))
            ^ at(1, u32::from(word[6]))
            ^ at(0, u32::from(word[7]));
    }
    for byte in words.remainder() {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        // From RFC 3720, appendix B.4.
        assert_eq!(castagnoli(&[0; 32]), 0x8a91_36aa);
        assert_eq!(castagnoli(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(castagnoli(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(castagnoli(b"123456789"), 0xe306_9283);
        assert_eq!(castagnoli(b""), 0);
    }
}
