/* SPDX-License-Identifier: Apache-2.0 */
/* Short names for what our own unit tests use of <weir/fake_host.h>. */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <weir/fake_host.h>

#define fake_host     weir_fake
#define fake_setting  weir_fake_setting
#define fake_position weir_fake_position
#define fake_chunk    weir_fake_chunk

#define fake_create              weir_fake_create
#define fake_destroy             weir_fake_destroy
#define fake_input               weir_fake_new
#define fake_start               weir_fake_start
#define fake_retire              weir_fake_retire
#define fake_stop                weir_fake_stop
#define fake_drop                weir_fake_drop
#define fake_error               weir_fake_error
#define fake_until               weir_fake_until
#define fake_idle                weir_fake_idle
#define fake_later               weir_fake_later
#define fake_set_full            weir_fake_set_full
#define fake_set_room            weir_fake_set_room
#define fake_is_ended            weir_fake_is_ended
#define fake_progress            weir_fake_progress
#define fake_chunks              weir_fake_chunks
#define fake_acknowledge_at_once weir_fake_acknowledge_at_once
#define fake_acknowledge         weir_fake_acknowledge
#define fake_crash               weir_fake_crash
#define fake_stream_count        weir_fake_stream_count
#define fake_logged              weir_fake_logged
#define fake_metric              weir_fake_metric

#endif
