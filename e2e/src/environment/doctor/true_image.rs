//! The smallest image there is: a program that ends with exit code 0. It is made here, because the examination that needs
//! it must work before any image can be pulled or built.

use std::io;

/// The machine code of `exit(0)` by the kernel's own interface, and the number by which ELF calls the processor.
#[cfg(target_arch = "x86_64")]
const EXIT: (&[u8], u16) = (&[0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05], 62);
#[cfg(target_arch = "aarch64")]
const EXIT: (&[u8], u16) = (&[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4], 183);

/// Where the program is put in memory.
const BASE: u64 = 0x0040_0000;

/// A 64-bit little-endian ELF executable with one segment. elf(5)
fn program() -> Vec<u8> {
    const HEADER: u64 = 64;
    const SEGMENT: u64 = 56;
    let (code, machine) = EXIT;
    let size = HEADER + SEGMENT + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |elf: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|value| elf.extend(value.to_le_bytes()));
    let words = |elf: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|value| elf.extend(value.to_le_bytes()));
    let longs = |elf: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|value| elf.extend(value.to_le_bytes()));
    halves(&mut elf, &[2, machine]); // An executable, for this processor,
    words(&mut elf, &[1]);
    longs(&mut elf, &[BASE + HEADER + SEGMENT, HEADER, 0]); // its entry, and where its segments are told.
    words(&mut elf, &[0]);
    halves(&mut elf, &[64, 56, 1, 0, 0, 0]);
    words(&mut elf, &[1, 5]); // A segment that is loaded, to be read and executed,
    longs(&mut elf, &[0, BASE, BASE, size, size, 0x1000]); // which is all of the file.
    elf.extend(code);
    elf
}

/// A root file system as a tar archive with the one file `/true`.
pub(super) fn true_image() -> io::Result<Vec<u8>> {
    let program = program();
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "true", &*program)?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_program_runs_and_ends_with_0() {
        let path = std::env::temp_dir().join(format!("e2e-true-{}", std::process::id()));
        fs::write(&path, program()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let status = Command::new(&path).status();
        fs::remove_file(&path).unwrap();
        assert_eq!(status.unwrap().code(), Some(0));
    }
}
