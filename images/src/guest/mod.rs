// SPDX-License-Identifier: Apache-2.0
//! What a virtual machine that builds is started from: the first file system, with our one program and the kernel's modules
//! in it, and `/usr` as an image with a hash tree. `docs/vm.md` says what is in each.

mod cpio;
mod initrd;
mod kernel;
mod usr;
mod verity;

pub use cpio::{Archive, CpioError, MAX_FILE, MAX_NAME};
pub use initrd::{
    ASKING, InitrdError, MODULES, Module, Modules, initrd, modules, modules_for_disks, modules_with_asking,
};
pub use kernel::{Kernel, KernelError, Which, keep_kernel, kept_kernel, user_mode_kernel};
pub(crate) use usr::collect_images;
pub use usr::{UsrError, UsrImage, usr_image};
pub use verity::{BLOCK, InvalidVerity, Verity, append_tree};
