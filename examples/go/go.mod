// SPDX-License-Identifier: MIT
module example.org/diffusion

go 1.19
