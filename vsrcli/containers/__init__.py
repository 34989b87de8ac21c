"""Kinds of files, and pipes: what each can hold."""
