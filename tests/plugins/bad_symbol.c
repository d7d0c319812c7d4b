/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object that is no plugin at all. weir must refuse it. */
int some_library_function(void);

int some_library_function(void)
{
    return 1;
}
