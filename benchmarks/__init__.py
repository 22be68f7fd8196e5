"""Measurements that are reported in docs and never gate a test."""
