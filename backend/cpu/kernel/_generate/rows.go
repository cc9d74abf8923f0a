package main

func (v isa) rows() {}
