//! A minimal image with a program that exits with code 0. It is generated here, because the check for privileged containers must
//! work before any image can be pulled or built.

use std::io;

/// The machine code of the system call `exit(0)`, and the processor's ELF machine number.
#[cfg(target_arch = "x86_64")]
const EXIT: (&[u8], u16) = (&[0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05], 62);
#[cfg(target_arch = "aarch64")]
const EXIT: (&[u8], u16) = (&[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4], 183);

/// The address at which the program is loaded.
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
    halves(&mut elf, &[2, machine]); // An executable for this processor
    words(&mut elf, &[1]);
    longs(&mut elf, &[BASE + HEADER + SEGMENT, HEADER, 0]); // with its entry point and the offset of the program headers.
    words(&mut elf, &[0]);
    halves(&mut elf, &[64, 56, 1, 0, 0, 0]);
    words(&mut elf, &[1, 5]); // One loadable segment that is readable and executable
    longs(&mut elf, &[0, BASE, BASE, size, size, 0x1000]); // and covers the whole file.
    elf.extend(code);
    elf
}

/// A root file system as a tar archive, with `/true` as its only file.
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
    fn the_program_runs_and_exits_with_0() {
        let path = std::env::temp_dir().join(format!("e2e-true-{}", std::process::id()));
        fs::write(&path, program()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let status = Command::new(&path).status();
        fs::remove_file(&path).unwrap();
        assert_eq!(status.unwrap().code(), Some(0));
    }
}
