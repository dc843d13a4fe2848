/* SPDX-License-Identifier: BSD-3-Clause */
/* What opalmem would be without its prefix: a library that exports names of libopen-pal's. Preloaded, it gets
 * libopen-pal's calls; test_open_pal.sh has to see that. Never called. */
int mca_base_var_register(void);
int opal_mem_hooks_register_release(void);

int mca_base_var_register(void)
{
    return -1;
}

int opal_mem_hooks_register_release(void)
{
    return -1;
}
