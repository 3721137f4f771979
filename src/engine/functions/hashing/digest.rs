//! MD5 (RFC 1321), SHA-1 and SHA-2 (FIPS 180-4): bytes in, digest out.

/// Fractional parts of the cube roots of the first 80 primes; SHA-256 uses the
/// upper halves of the first 64.
const CUBE_ROOTS: [u64; 80] = [
    0x428a2f98d728ae22,
    0x7137449123ef65cd,
    0xb5c0fbcfec4d3b2f,
    0xe9b5dba58189dbbc,
    0x3956c25bf348b538,
    0x59f111f1b605d019,
    0x923f82a4af194f9b,
    0xab1c5ed5da6d8118,
    0xd807aa98a3030242,
    0x12835b0145706fbe,
    0x243185be4ee4b28c,
    0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f,
    0x80deb1fe3b1696b1,
    0x9bdc06a725c71235,
    0xc19bf174cf692694,
    0xe49b69c19ef14ad2,
    0xefbe4786384f25e3,
    0x0fc19dc68b8cd5b5,
    0x240ca1cc77ac9c65,
    0x2de92c6f592b0275,
    0x4a7484aa6ea6e483,
    0x5cb0a9dcbd41fbd4,
    0x76f988da831153b5,
    0x983e5152ee66dfab,
    0xa831c66d2db43210,
    0xb00327c898fb213f,
    0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2,
    0xd5a79147930aa725,
    0x06ca6351e003826f,
    0x142929670a0e6e70,
    0x27b70a8546d22ffc,
    0x2e1b21385c26c926,
    0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df,
    0x650a73548baf63de,
    0x766a0abb3c77b2a8,
    0x81c2c92e47edaee6,
    0x92722c851482353b,
    0xa2bfe8a14cf10364,
    0xa81a664bbc423001,
    0xc24b8b70d0f89791,
    0xc76c51a30654be30,
    0xd192e819d6ef5218,
    0xd69906245565a910,
    0xf40e35855771202a,
    0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8,
    0x1e376c085141ab53,
    0x2748774cdf8eeb99,
    0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63,
    0x4ed8aa4ae3418acb,
    0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc,
    0x78a5636f43172f60,
    0x84c87814a1f0ab72,
    0x8cc702081a6439ec,
    0x90befffa23631e28,
    0xa4506cebde82bde9,
    0xbef9a3f7b2c67915,
    0xc67178f2e372532b,
    0xca273eceea26619c,
    0xd186b8c721c0c207,
    0xeada7dd6cde0eb1e,
    0xf57d4f7fee6ed178,
    0x06f067aa72176fba,
    0x0a637dc5a2c898a6,
    0x113f9804bef90dae,
    0x1b710b35131c471b,
    0x28db77f523047d84,
    0x32caab7b40c72493,
    0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6,
    0x597f299cfc657e2a,
    0x5fcb6fab3ad6faec,
    0x6c44198c4a475817,
];

/// Fractional parts of the square roots of the first eight primes.
const SQUARE_ROOTS: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// The message with a one bit, zeros and its length in bits behind it, so that it
/// fills blocks. The length takes an eighth of a block.
fn padded(message: &[u8], block: usize, big_endian: bool) -> Vec<u8> {
    let bits = (message.len() as u128) * 8;
    let width = block / 8;
    let mut bytes = message.to_vec();
    bytes.push(0x80);
    while bytes.len() % block != block - width {
        bytes.push(0);
    }
    match big_endian {
        true => bytes.extend_from_slice(&bits.to_be_bytes()[16 - width..]),
        false => bytes.extend_from_slice(&bits.to_le_bytes()[..width]),
    }
    bytes
}

/// A block's words of four bytes, the first byte highest.
fn words(block: &[u8]) -> impl Iterator<Item = u32> {
    block.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

pub(super) fn md5(message: &[u8]) -> Vec<u8> {
    const TURNS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(message, 64, false).chunks_exact(64) {
        let words: Vec<u32> = words(block).map(u32::swap_bytes).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            // The sine is at most one, so that this is at most 32 bits.
            let sine = ((step as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(mixed).wrapping_add(sine).wrapping_add(words[word]);
            let turned = sum.rotate_left(TURNS[step / 16][step % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        for (state, value) in state.iter_mut().zip([a, b, c, d]) {
            *state = state.wrapping_add(value);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(super) fn sha1(message: &[u8]) -> Vec<u8> {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(message, 64, true).chunks_exact(64) {
        let mut w: Vec<u32> = words(block).collect();
        for t in 16..80 {
            w.push((w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in w.into_iter().enumerate() {
            let (mixed, constant) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
            let sum = sum.wrapping_add(constant).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        for (state, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(value);
        }
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// SHA-2 over words of a type: the two sizes differ in their numbers only.
macro_rules! sha2 {
    ($name:ident, $word:ty, $block:literal, $rounds:literal, $shift:literal,
     $expand:expr, $mix:expr) => {
        pub(super) fn $name(message: &[u8]) -> Vec<u8> {
            const BYTES: usize = size_of::<$word>();
            let small =
                |x: $word, [a, b, c]: [u32; 3]| x.rotate_right(a) ^ x.rotate_right(b) ^ (x >> c);
            let large = |x: $word, [a, b, c]: [u32; 3]| {
                x.rotate_right(a) ^ x.rotate_right(b) ^ x.rotate_right(c)
            };
            let ([low, high], [first, second]): ([[u32; 3]; 2], [[u32; 3]; 2]) = ($expand, $mix);
            let mut state = SQUARE_ROOTS.map(|root| (root >> $shift) as $word);
            for block in padded(message, $block, true).chunks_exact($block) {
                let word = |b: &[u8]| b.iter().fold(0, |w: $word, b| (w << 8) | <$word>::from(*b));
                let mut w: Vec<$word> = block.chunks_exact(BYTES).map(word).collect();
                for t in 16..$rounds {
                    let (back, ahead) = (small(w[t - 15], low), small(w[t - 2], high));
                    let sum = w[t - 16].wrapping_add(back).wrapping_add(w[t - 7]);
                    w.push(sum.wrapping_add(ahead));
                }
                let mut s = state;
                for (word, root) in w.into_iter().zip(CUBE_ROOTS) {
                    let [a, b, c, d, e, f, g, h] = s;
                    let chosen = (e & f) ^ (!e & g);
                    let most = (a & b) ^ (a & c) ^ (b & c);
                    let sum = h.wrapping_add(large(e, second)).wrapping_add(chosen);
                    let sum = sum.wrapping_add((root >> $shift) as $word).wrapping_add(word);
                    let other = large(a, first).wrapping_add(most);
                    s = [sum.wrapping_add(other), a, b, c, d.wrapping_add(sum), e, f, g];
                }
                for (state, value) in state.iter_mut().zip(s) {
                    *state = state.wrapping_add(value);
                }
            }
            state.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
    };
}

sha2!(sha256, u32, 64, 64, 32, [[7, 18, 3], [17, 19, 10]], [[2, 13, 22], [6, 11, 25]]);
sha2!(sha512, u64, 128, 80, 0, [[1, 8, 7], [19, 61, 6]], [[28, 34, 39], [14, 18, 41]]);

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The examples of the standards.
    #[test]
    fn digests_are_those_of_the_standards() {
        let alphabet = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&md5(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&sha1(alphabet)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        assert_eq!(
            hex(&sha256(alphabet)),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
        assert_eq!(
            hex(&sha512(b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }
}
